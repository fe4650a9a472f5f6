import { useEffect, useSyncExternalStore } from 'react'
import { usePreference } from './preferences.ts'

export type Theme = 'light' | 'dark'

const THEMES: readonly Theme[] = ['light', 'dark']
const DARK = '(prefers-color-scheme: dark)'
// The bar of a phone's browser; the same colours as --bg.
const BAR_COLOURS: Record<Theme, string> = { light: '#f5f5f2', dark: '#121211' }

/** The theme on screen, the one that was chosen (none: the system's), and how to choose. */
export function useTheme() {
  const [chosen, choose] = usePreference<Theme>('theme', THEMES)
  const isSystemDark = useSyncExternalStore(subscribe, () => matchMedia(DARK).matches)
  const theme = chosen ?? (isSystemDark ? 'dark' : 'light')

  useEffect(() => {
    if (chosen) document.documentElement.dataset.theme = chosen
    else delete document.documentElement.dataset.theme
    for (const bar of document.querySelectorAll('meta[name="theme-color"]')) {
      bar.setAttribute('content', BAR_COLOURS[theme])
    }
  }, [chosen, theme])

  return { theme, chosen, choose }
}

function subscribe(listener: () => void): () => void {
  const query = matchMedia(DARK)
  query.addEventListener('change', listener)
  return () => query.removeEventListener('change', listener)
}
