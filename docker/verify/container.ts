import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Image } from './image.ts'

// What a container engine does around a process, with the tools of every Linux: namespaces of its own, its image's
// files read-only, /proc, the few devices, a volume. The network is the machine's, so that parts find each other.
const ENTER = `
root=$1 uid=$2 gid=$3 dir=$4 volume=$5
shift 5
mount --bind "$root" "$root"
mount -o remount,bind,ro,nosuid,nodev "$root"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t tmpfs -o size=64k,mode=755 tmpfs "$root/dev"
for device in null zero full random urandom; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
if [ -n "$volume" ]; then mount --bind "$volume" "$root/data"; fi
exec setpriv --clear-groups --no-new-privs unshare --root="$root" --wd="$dir" --setgid="$gid" --setuid="$uid" "$@"
`

export type Container = {
  /** Of its process 1, as the machine counts. */
  pid(): Promise<number>
  /** Everything it printed. */
  output(): string
  /** Resolves with its exit code, or the name of the signal that ended it. */
  ended: Promise<number | NodeJS.Signals>
  kill(signal: NodeJS.Signals): Promise<void>
}

/** Runs a command in an image: as its user, as process 1, read-only but for `volume` at /data. */
export function startContainer(
  image: Image,
  { command = image.command, env, volume = '' }: { command?: string[]; env: object; volume?: string },
): Container {
  const [uid, gid] = image.user.split(':')
  const namespaces = ['--mount', '--pid', '--ipc', '--uts', '--fork', '--kill-child', '--propagation=private']
  const args = [image.root, uid!, gid!, image.workingDir, volume, ...command]
  const child = spawn('/usr/bin/unshare', [...namespaces, '/bin/sh', '-euc', ENTER, 'sh', ...args], {
    // The shell above needs its tools; the image's PATH goes first, as its own programs are all it will see.
    env: { ...image.env, PATH: `${image.env.PATH}:/usr/sbin:/usr/bin:/sbin:/bin`, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  const ended = once(child, 'close').then(([code, signal]) => code ?? signal)
  const pid = async () => {
    while (child.exitCode === null) {
      const inner = Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim())
      if (inner) return inner
      await sleep(5)
    }
    throw new Error(`the container ended with ${child.exitCode}:\n${output}`)
  }
  return {
    pid,
    output: () => output,
    ended,
    kill: async (signal) => void process.kill(await pid(), signal),
  }
}
