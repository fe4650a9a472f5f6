import { useEffect, useState } from 'react'
import { copyText } from '../copy-text.ts'
import { useTexts } from '../texts/use-texts.ts'
import { Check, Link } from './icons.ts'

const SHOWN_MS = 2000

/** Copies a link and says so; where the browser refuses, it shows the link to be copied by hand. */
export function CopyButton({ link }: { link: string }) {
  const texts = useTexts()
  const [state, setState] = useState<'idle' | 'copied' | 'refused'>('idle')
  useEffect(() => {
    if (state !== 'copied') return
    const timer = setTimeout(() => setState('idle'), SHOWN_MS)
    return () => clearTimeout(timer)
  }, [state])

  async function copy() {
    setState((await copyText(link)) ? 'copied' : 'refused')
  }

  return (
    <>
      <button type="button" className="button" onClick={copy}>
        {state === 'copied' ? <Check aria-hidden /> : <Link aria-hidden />}
        {state === 'copied' ? texts.copied : texts.copyLink}
      </button>
      <span className="unseen" role="status">
        {state === 'copied' && texts.copied}
      </span>
      {state === 'refused' && (
        <label className="copy-by-hand">
          {texts.copyFailed}
          <input readOnly value={link} onFocus={(event) => event.target.select()} />
        </label>
      )}
    </>
  )
}
