import { createContext, useContext } from 'react'
import { createPassingStore, type GalleryStore } from './gallery-store.ts'

export const GalleryContext = createContext<GalleryStore>(createPassingStore())

/** Where the requests of this browser are kept. */
export function useGalleryStore(): GalleryStore {
  return useContext(GalleryContext)
}
