import { useEffect } from 'react'
import { isSettled } from './gallery/entry.ts'
import { useEntry } from './gallery/use-gallery.ts'
import { fractionDone } from './progress.ts'
import { useTexts } from './texts/use-texts.ts'

/** Has the tab tell how far the newest request is, for those who look at another one meanwhile. */
export function useTitle(id: string | undefined): void {
  const { title } = useTexts()
  const { entry } = useEntry(id ?? '')
  const percent =
    entry && !isSettled(entry) ? Math.round(fractionDone(entry.resource.images) * 100) : undefined
  useEffect(() => {
    document.title = percent === undefined ? title : `${percent} % · ${title}`
  }, [percent, title])
}
