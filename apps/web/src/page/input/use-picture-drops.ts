import { useEffect, useEffectEvent, useState } from 'react'

/**
 * Takes pictures that are dropped anywhere on the page or pasted into it, except while a window is over it; tells whether
 * one is held over the page right now. Nothing takes none.
 */
export function usePictureDrops(onPicture: ((file: File) => void) | undefined): boolean {
  const [isOver, setOver] = useState(false)
  const take = useEffectEvent((file: File) => onPicture?.(file))
  const isTaking = onPicture !== undefined

  useEffect(() => {
    if (!isTaking) return
    const leaving = new AbortController()
    const listen = <Name extends keyof WindowEventMap>(
      name: Name,
      act: (event: WindowEventMap[Name]) => void,
    ) => addEventListener(name, act, { signal: leaving.signal })
    listen('dragover', (event) => {
      if (!holdsFiles(event.dataTransfer)) return
      event.preventDefault() // or the browser would open the file in place of the page
      setOver(!isCovered())
    })
    listen('dragleave', (event) => {
      if (event.relatedTarget === null) setOver(false)
    })
    listen('drop', (event) => {
      setOver(false)
      if (!holdsFiles(event.dataTransfer)) return
      event.preventDefault()
      const file = pictureIn(event.dataTransfer)
      if (file && !isCovered()) take(file)
    })
    listen('paste', (event) => {
      const file = pictureIn(event.clipboardData)
      if (!file || isCovered() || isText(event)) return
      event.preventDefault()
      take(file)
    })
    return () => leaving.abort()
  }, [isTaking])

  return isOver && isTaking
}

const holdsFiles = (data: DataTransfer | null) => data?.types.includes('Files') === true
const isCovered = () => document.querySelector('dialog[open]') !== null

/** Office programs put a picture of the words beside the words. */
const isText = ({ clipboardData, target }: ClipboardEvent) =>
  clipboardData?.types.includes('text/plain') === true && target instanceof HTMLTextAreaElement

/** The first file; one that is no picture is taken too, for the form to say so. */
function pictureIn(data: DataTransfer | null): File | undefined {
  return data?.files[0]
}
