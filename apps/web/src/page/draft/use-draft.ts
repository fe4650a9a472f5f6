import { useEffect, useState } from 'react'
import { readStored, writeStored } from '../preferences.ts'
import { fromFragment, toFragment } from './draft-link.ts'
import { type Draft, EMPTY_DRAFT } from './read-draft.ts'

const KEY = 'draft'

/** What stands in the form: from the link the page was opened by, else as it was left the last time. */
export function useDraft(): [Draft, (draft: Draft | ((now: Draft) => Draft)) => void] {
  const [draft, setDraft] = useState<Draft>(
    () => takeFromAddress() ?? fromFragment(readStored(KEY) ?? '') ?? EMPTY_DRAFT,
  )
  useEffect(() => {
    const onHashChange = () => {
      const linked = takeFromAddress()
      if (linked) setDraft(linked)
    }
    addEventListener('hashchange', onHashChange)
    return () => removeEventListener('hashchange', onHashChange)
  }, [])
  useEffect(() => {
    // Typing fast would write as often; the last word is what counts.
    const timer = setTimeout(() => writeStored(KEY, toFragment(draft) || undefined), 300)
    return () => clearTimeout(timer)
  }, [draft])
  return [draft, setDraft]
}

/** Takes the draft out of the address, where it would come back at every reload, over what was typed since. */
function takeFromAddress(): Draft | undefined {
  const linked = fromFragment(location.hash)
  if (linked) history.replaceState(history.state, '', location.pathname + location.search)
  return linked
}
