import { useCallback, useEffect, useRef, useState } from 'react'
import { useGalleryStore } from '../gallery/gallery-context.ts'
import { type InputFault, type InputPicture, readInputPicture } from './read-input-picture.ts'

const DRAFT = 'draft' // kept like the inputs of requests, for the form to have it after a reload

export type InputChoice = {
  picture: InputPicture | undefined
  /** Why the last file was not taken, or that the one of an earlier request is gone. */
  fault: InputFault | 'gone' | undefined
  /** Takes a file in place of the present one; nothing says that the file which was wanted is gone. */
  choose: (file: Blob | undefined) => Promise<void>
  clear: () => void
}

/** The picture in the form; it outlives a reload. */
export function useInputPicture(): InputChoice {
  const store = useGalleryStore()
  const [picture, setPicture] = useState<InputPicture>()
  const [fault, setFault] = useState<InputChoice['fault']>()
  const newest = useRef(0) // of several choices in short order the last one counts, whichever is read first

  useEffect(() => {
    const turn = newest.current
    void store.getInput(DRAFT).then(async (bytes) => {
      const read = bytes && (await readInputPicture(bytes))
      if (typeof read === 'object' && turn === newest.current) setPicture(read)
    })
  }, [store])

  const choose = useCallback(
    async (file: Blob | undefined) => {
      const turn = ++newest.current
      const read = file ? await readInputPicture(file) : 'gone'
      if (turn !== newest.current) return
      if (typeof read === 'string') return setFault(read)
      setFault(undefined)
      setPicture(read)
      await store.putInput(DRAFT, read.bytes)
    },
    [store],
  )

  const clear = useCallback(() => {
    newest.current++
    setFault(undefined)
    setPicture(undefined)
    void store.removeInput(DRAFT)
  }, [store])

  return { picture, fault, choose, clear }
}
