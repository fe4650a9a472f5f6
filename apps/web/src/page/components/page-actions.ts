import { createContext, useContext } from 'react'
import type { Draft } from '../draft/read-draft.ts'
import type { Entry, PictureRef } from '../gallery/entry.ts'

/** What a press somewhere on the page can bring about elsewhere on it. */
export type PageActions = {
  /** Fills the form. */
  reuse: (draft: Draft) => void
  keepSeed: (seed: number) => void
  /** Draws the request again with its settings and another seed. */
  drawAgain: (entry: Entry) => void
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
