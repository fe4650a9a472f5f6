import type { Image } from '@sdcpu/contract'
import { createContext, useContext } from 'react'
import type { Entry, PictureRef } from '../gallery/entry.ts'

/** What a press somewhere on the page can bring about elsewhere on it. */
export type PageActions = {
  /** Fills the form so that a request, or one picture of it, can be drawn again. */
  reuse: (entry: Entry, image?: Image) => void
  keepSeed: (seed: number) => void
  /** Draws the request again with its settings and another seed. */
  drawAgain: (entry: Entry) => void
  /** Puts a picture into the form to begin with; absent while the model there draws from none. */
  startFrom: ((picture: PictureRef) => void) | undefined
  open: (picture: PictureRef) => void
  compare: (pictures: PictureRef[]) => void
  remove: (ids: string[]) => void
}

export const PageActionsContext = createContext<PageActions | undefined>(undefined)

/** @throws outside of the page */
export function usePageActions(): PageActions {
  const actions = useContext(PageActionsContext)
  if (!actions) throw new Error('There are no page actions here. This is a bug.')
  return actions
}
