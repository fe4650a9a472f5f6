import type { Progress } from './progress.ts'

/** Every word the page shows, in one place, so that another language is another object of this shape. */
export const texts = {
  title: 'Text to image',
  promptLabel: 'Prompt',
  promptPlaceholder: 'A quiet harbour at dawn, watercolour',
  promptMissing: 'Write what you would like to see, or pick an example below.',
  seedLabel: 'Seed',
  seedPlaceholder: 'Random',
  seedInvalid: `The seed is a whole number from 0 to 4294967295. Leave it empty for a random one.`,
  countLabel: 'Pictures',
  generate: 'Generate',
  sending: 'Sending',
  shortcut: (isApple: boolean) => (isApple ? '⌘ Enter' : 'Ctrl Enter'),
  examplesTitle: 'Try one of these',
  stageTitle: 'Your picture',
  emptyTitle: 'Your picture appears here',
  emptyHint: 'Write a prompt, or start from one of the examples.',
  earlierTitle: 'Earlier in this visit',
  reuseSeed: (seed: number) => `Use seed ${seed} again`,
  download: 'Download',
  downloadOf: (prompt: string) => `Download: ${prompt}`,
  openPicture: (prompt: string) => `Open: ${prompt}`,
  pictureGone: 'This picture is no longer kept. Draw it again with the same prompt and seed.',
  notDrawn: 'Not drawn',
  elapsed: (seconds: number) =>
    seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`,
  tryAgain: 'Try again',
  tryAgainIn: (seconds: number) => `Try again in ${seconds} s`,
  stillAsking: 'Still asking; the picture goes on being drawn meanwhile.',
  progress: describeProgress,
  errors: {
    unavailable: {
      title: 'The service cannot be reached.',
      hint: 'It may be starting or restarting. Nothing you typed is lost; try again in a moment.',
    },
    modelNotReady: {
      title: 'The model is still loading.',
      hint: 'It is made ready once, when the service starts. Try again in a moment.',
    },
    queueFull: {
      title: 'The queue is full.',
      hint: 'Many pictures are waiting already. Try again when some of them are drawn.',
    },
    invalid: { title: 'This request was not accepted.' },
    gone: {
      title: 'The service no longer knows this request.',
      hint: 'Requests and pictures are kept for a limited time. Draw it again.',
    },
    failed: (id: string | undefined) => ({
      title: 'The picture could not be drawn.',
      hint: `Try again. If it fails each time, the logs say why${id ? ` under ${id}` : ''}.`,
    }),
    internal: (id: string | undefined) => ({
      title: 'Something went wrong.',
      hint: `Try again. If it happens each time, the logs say why${id ? ` under ${id}` : ''}.`,
    }),
  },
} as const

function describeProgress(progress: Progress): string {
  switch (progress.phase) {
    case 'waiting':
      return 'Waiting in the queue'
    case 'drawing':
      return `Drawing, step ${progress.step} of ${progress.steps}`
    case 'finishing':
      return 'Drawing, last touches'
    case 'partly':
      return `Drawing, ${progress.ready} of ${progress.count} pictures ready`
    case 'succeeded':
      return 'Done'
    case 'failed':
      return 'Failed'
    case 'canceled':
      return 'Canceled'
  }
}

/** The ten prompts of the article this project follows. */
export const examplePrompts = [
  'A panda listening to music with headphones. highly detailed, 8k.',
  'A dog listening to music with headphones. highly detailed, 8k.',
  'A robot cat eating spaghetti, digital art, 8k.',
  'A large blob of exploding splashing rainbow paint, with an apple emerging, 8k.',
  'An astronaut riding a galloping horse, 8k.',
  'A family of raccoons living in a small cabin, tilt shift, arc shot, 8k.',
  'A tree walking through the forest, tilt shift, 8k.',
  'An octopus attacks New York, 8k.',
  'Motorcyclist on a racing track, highly detailed, 8k.',
  'Humans building a highway on Mars, cinematic, 8k.',
] as const
