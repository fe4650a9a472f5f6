import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import react from '@vitejs/plugin-react'
import { defineConfig, type Plugin } from 'vite'
import { API_PATHS } from './src/server/api-paths.ts'

const apiUrl = process.env.API_URL ?? 'http://127.0.0.1:5000'

export default defineConfig({
  // Relative addresses, so that the page also works below a path of a bigger site.
  base: './',
  plugins: [react(), compressFiles()],
  // Plain CSS; without this Vite looks for a PostCSS configuration in every package.json up the tree.
  css: { postcss: {} },
  // Always a file of its own, never a data: address, so that the page's content policy can stay strict.
  build: { assetsInlineLimit: 0 },
  server: { port: 5173, proxy: Object.fromEntries(API_PATHS.map((path) => [path, apiUrl])) },
})

/** Writes a .br and a .gz beside every file, so that the server compresses nothing itself. */
function compressFiles(): Plugin {
  return {
    name: 'compress-files',
    apply: 'build',
    writeBundle({ dir }, bundle) {
      if (!dir) throw new Error('Vite names no output folder. This is a bug.')
      for (const name of Object.keys(bundle)) {
        const bytes = readFileSync(join(dir, name))
        writeFileSync(join(dir, `${name}.br`), brotliCompressSync(bytes))
        writeFileSync(join(dir, `${name}.gz`), gzipSync(bytes))
      }
    },
  }
}
