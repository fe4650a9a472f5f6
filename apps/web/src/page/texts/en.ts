import type { Progress } from '../progress.ts'
import { errorsEn } from './errors-en.ts'

/** Every word the page shows, in English. The shape that other languages fill. */
export const en = {
  title: 'Text to image',
  skipToPrompt: 'Skip to the prompt',
  needsReload: 'This page ran into a fault.',
  needsReloadHint:
    'Your pictures are kept in this browser. Load the page again to go on; if it fails each time, start afresh.',
  reload: 'Load again',
  startAfresh: 'Remove all and start afresh',

  language: 'Language',
  theme: 'Theme',
  themes: { system: 'Like the system', light: 'Light', dark: 'Dark' },

  composerTitle: 'Describe a picture',
  promptLabel: 'Prompt',
  promptPlaceholder: 'A quiet harbour at dawn, watercolour',
  promptMissing: 'Write what you would like to see, or pick an example.',
  promptTooLong: (count: number, limit: number) =>
    `The prompt is ${count} characters long; the limit is ${limit}.`,
  promptLanguageHint: undefined as string | undefined,
  surprise: 'Surprise me',
  examplesTitle: 'Try one of these',

  startPicture: 'Picture to start from',
  startFromPicture: 'Start from a picture',
  startHint: 'Drop or paste works too',
  startDrop: 'Drop it to start from it',
  startChosen: (size: string) => `Starting from a picture of ${size} pixels.`,
  replaceStart: (size: string) => `Replace the picture to start from, ${size} pixels`,
  removeStart: 'Start from no picture',
  startFaults: {
    unreadable: 'That is not a picture this browser can read.',
    tooLarge: 'That file is too large; the limit is 40 MB.',
    gone: 'The picture it started from is no longer kept in this browser. Choose it again, or start from none.',
  },
  strength: 'Strength',
  strengthHint: (drawn: number, steps: number) =>
    `Draws ${drawn} of ${steps} ${steps === 1 ? 'step' : 'steps'}. More keeps less of the picture.`,
  startFrom: 'Start from this',
  startedFrom: 'Started from',

  settings: 'Settings',
  shape: 'Shape',
  shapes: { square: 'Square', portrait: 'Portrait', landscape: 'Landscape', wide: 'Wide' },
  size: 'Size',
  sizeOwn: (size: string) => `${size} (best)`,
  sizeUnknown: "Model's own",
  steps: 'Steps',
  stepsHint: 'More steps: more detail, more time.',
  automatic: 'Auto',
  automaticValue: (value: number | string) => `Auto (${value})`,
  backToAutomatic: (name: string) => `${name}: back to Auto`,
  count: 'Pictures',
  seed: 'Seed',
  seedPlaceholder: 'Random',
  seedInvalid: 'The seed is a whole number from 0 to 4294967295. Leave it empty for a random one.',
  lockSeed: 'Keep the seed',
  unlockSeed: 'Random seed again',
  model: 'Model',
  sampler: 'Sampler',
  guidance: 'Guidance',
  negativePrompt: 'Negative prompt',
  negativePlaceholder: 'What should not be in the picture',
  negativeNeedsGuidance: 'Takes effect with guidance above 1.',

  generate: 'Generate',
  sending: 'Sending…',
  shortcut: (isApple: boolean) => (isApple ? '⌘ ↵' : 'Ctrl ↵'),

  stageTitle: 'Your picture',
  emptyTitle: 'What would you like to see?',
  emptyHint: 'Describe it in a sentence. It is drawn on plain CPUs, step by step, out of noise.',
  cancel: 'Cancel',
  canceling: 'Canceling…',
  cancelFailed: 'It could not be canceled.',
  noWorker: 'No worker is running; it is drawn as soon as there is one.',
  timeLeft: (duration: string) => `about ${duration} left`,
  duration: (seconds: number) => {
    if (seconds < 60) return `${seconds} s`
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
    return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`
  },
  progress: describeProgress,
  percentLabel: 'Progress',

  download: 'Download',
  downloadOf: (prompt: string, seed: number) => `Download: ${prompt}, seed ${seed}`,
  copyLink: 'Copy link',
  copied: 'Copied',
  copyFailed: 'Copy it here:',
  reuse: 'Reuse settings',
  sameSeed: 'Keep seed',
  sameSeedOf: (seed: number) => `Keep seed ${seed}`,
  again: 'Draw again',
  compare: 'Compare',
  compareTitle: 'Side by side',
  compareHint: (limit: number) => `Pick 2 to ${limit} pictures.`,
  compareSelected: (count: number) => `${count} picked`,
  pick: (prompt: string, seed: number) => `Pick: ${prompt}, seed ${seed}`,
  close: 'Close',
  previous: 'Previous picture',
  next: 'Next picture',
  remove: 'Remove',
  removed: 'Removed.',
  undo: 'Undo',
  openPicture: (prompt: string, seed: number) => `Open: ${prompt}, seed ${seed}`,
  pictureGone: 'This picture is no longer kept. Draw it again with the same prompt and seed.',
  pictureLoading: 'Fetching the picture',
  notDrawn: 'Not drawn',
  nothingDrawn: 'Canceled before anything was drawn.',
  canceledPicture: 'Canceled',

  galleryTitle: 'Gallery',
  galleryKept: 'Kept in this browser only.',
  galleryUnkept: 'This browser keeps nothing for this page: pictures are gone when you close it.',
  showMore: 'Show more',
  clear: 'Remove all',
  clearTitle: 'Remove all pictures?',
  clearHint: (count: number) =>
    count === 1
      ? 'One picture is removed from this browser.'
      : `${count} pictures are removed from this browser.`,
  keep: 'Keep them',

  detail: {
    prompt: 'Prompt',
    negativePrompt: 'Negative prompt',
    seed: 'Seed',
    size: 'Size',
    steps: 'Steps',
    strength: 'Strength',
    sampler: 'Sampler',
    guidance: 'Guidance',
    model: 'Model',
    time: 'Drawn in',
    date: 'Asked for',
  },

  away: 'The service cannot be reached.',
  awayHint: 'Trying again by itself. Pictures in the queue go on being drawn.',
  keyNeeded: 'This service needs a key.',
  keyHint: 'Its operator gives it out; it is kept in this browser.',
  keyWrong: 'The one kept in this browser is not known there.',
  key: 'API key',
  useKey: 'Use it',
  checkNow: 'Try now',
  tryAgain: 'Try again',
  tryAgainIn: (seconds: number) => `Try again in ${seconds} s`,

  licence: (model: string) => `Pictures by the model ${model}.`,
  licenceUnknown: 'Pictures are drawn by an AI model, whose licence applies to them.',
  licenceOf: (id: string) => `Licence: ${id}`,
  apiDocs: 'HTTP API',
  aiNotice: 'AI-made pictures can be wrong or unfit; look before you share.',

  errors: errorsEn,
  refused: 'This request was not accepted.',
}

export type Texts = typeof en

function describeProgress(progress: Progress): string {
  switch (progress.phase) {
    case 'waiting':
      if (progress.position === undefined) return 'Waiting in the queue'
      return progress.position === 0 ? 'Next in the queue' : `${progress.position} ahead in the queue`
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
