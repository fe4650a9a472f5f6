import { SAMPLERS } from '@sdcpu/contract'
import { showSize } from '../draft/sizes.ts'
import type { Texts } from '../texts/en.ts'
import type { PictureRef } from './entry.ts'

/** Name and value of one thing that a picture was drawn with, in the words of the page. */
export type Setting = { name: keyof Texts['detail']; value: string }

/** Everything a picture was drawn with that can differ from another's, but for the prompt. */
export function settingsOf({ entry, image }: PictureRef): Setting[] {
  const { request } = entry.resource
  const values: [Setting['name'], string | number | undefined][] = [
    ['seed', image.seed],
    [
      'size',
      image.width && image.height ? showSize(`${image.width}x${image.height}`) : showSize(request.size),
    ],
    ['steps', image.steps],
    ['strength', request.strength],
    ['sampler', request.sampler && SAMPLERS[request.sampler][0]],
    ['guidance', request.guidance],
    ['negativePrompt', request.negativePrompt],
    ['model', request.model],
  ]
  return values.flatMap(([name, value]) =>
    value === undefined || value === '' ? [] : [{ name, value: String(value) }],
  )
}

/** The settings in which these pictures are not all alike, seeds first. */
export function differencesOf(pictures: PictureRef[]): Setting['name'][] {
  const all = pictures.map((picture) => new Map(settingsOf(picture).map(({ name, value }) => [name, value])))
  const names = new Set(all.flatMap((settings) => [...settings.keys()]))
  return [...names].filter((name) => new Set(all.map((settings) => settings.get(name))).size > 1)
}

/** Seconds that the batch of a picture took on the worker, as far as the API told. */
export function drawnInSeconds({ image: { timingsMs } }: PictureRef): number | undefined {
  if (!timingsMs) return undefined
  const ms = Object.values(timingsMs)
    .flat()
    .reduce((sum, part) => sum + part, 0)
  return ms / 1000
}
