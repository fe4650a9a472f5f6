import type { Model } from '@sdcpu/contract'
import { type FormEvent, useEffect, useRef, useState } from 'react'
import {
  type Draft,
  type DraftFaults,
  type ImagesInput,
  MAX_PROMPT_CHARACTERS,
  modelOf,
  readDraft,
} from '../draft/read-draft.ts'
import { examplePrompts } from '../example-prompts.ts'
import type { InputChoice } from '../input/use-input-picture.ts'
import { useTexts } from '../texts/use-texts.ts'
import { FailureNotice } from './FailureNotice.tsx'
import { Dices } from './icons.ts'
import { Settings } from './Settings.tsx'
import { StartPicture } from './StartPicture.tsx'

type ComposerProps = {
  draft: Draft
  onDraft: (draft: Draft) => void
  onGenerate: (input: ImagesInput) => void
  models: Model[]
  start: InputChoice
  /** The seed of the newest picture, which a press on the lock keeps. */
  lastSeed: number | undefined
  isSending: boolean
  failure: { error: Error; onRetry: () => void } | undefined
}

/** The form: prompt, settings, button. */
export function Composer(props: ComposerProps) {
  const { draft, onDraft, onGenerate, models, start, lastSeed, isSending, failure } = props
  const texts = useTexts()
  const form = useRef<HTMLFormElement>(null)
  const [faults, setFaults] = useState<DraftFaults>({})
  const model = modelOf(draft, models)
  useSubmitKey(form)

  function change(part: Partial<Draft>) {
    onDraft({ ...draft, ...part })
    setFaults({})
  }

  function submit(event: FormEvent) {
    event.preventDefault()
    if (isSending) return
    const read = readDraft(draft, model, start.picture !== undefined)
    if ('input' in read) {
      setFaults({})
      return onGenerate(read.input)
    }
    setFaults(read.faults)
    form.current?.querySelector<HTMLElement>(read.faults.prompt ? '#prompt' : '#seed')?.focus()
  }

  function surprise() {
    const others = examplePrompts.filter(({ prompt }) => prompt !== draft.prompt)
    change({ prompt: others[Math.floor(Math.random() * others.length)]?.prompt ?? '' })
  }

  return (
    <form ref={form} className="composer" onSubmit={submit} noValidate aria-label={texts.composerTitle}>
      <div className="label-row">
        <label className="label" htmlFor="prompt">
          {texts.promptLabel}
        </label>
        <button type="button" className="text-button" onClick={surprise}>
          <Dices aria-hidden />
          {texts.surprise}
        </button>
      </div>
      <textarea
        id="prompt"
        className="field prompt"
        rows={4}
        placeholder={texts.promptPlaceholder}
        value={draft.prompt}
        aria-invalid={faults.prompt !== undefined}
        aria-describedby="prompt-fault prompt-hint"
        onChange={(event) => change({ prompt: event.target.value })}
      />
      <p id="prompt-fault" className="fault" role="alert">
        {faults.prompt === 'missing' && texts.promptMissing}
        {typeof faults.prompt === 'object' &&
          texts.promptTooLong(faults.prompt.characters, MAX_PROMPT_CHARACTERS)}
      </p>
      <p id="prompt-hint" className="hint">
        {texts.promptLanguageHint}
      </p>
      {model?.drawsFromImage && <StartPicture choice={start} draft={draft} onChange={change} model={model} />}
      <Settings
        draft={draft}
        onChange={change}
        models={models}
        model={model}
        lastSeed={lastSeed}
        hasSeedFault={faults.seed !== undefined}
      />
      <button type="submit" className="generate" aria-disabled={isSending}>
        {isSending ? texts.sending : texts.generate}
        <span className="key" aria-hidden="true">
          {texts.shortcut(isApple())}
        </span>
      </button>
      {failure && <FailureNotice key={String(isSending)} error={failure.error} onRetry={failure.onRetry} />}
    </form>
  )
}

/** Ctrl+Enter sends the form from wherever the focus is, except in a window over the page. */
function useSubmitKey(form: React.RefObject<HTMLFormElement | null>) {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const isSubmit = event.key === 'Enter' && (event.ctrlKey || event.metaKey)
      if (!isSubmit || event.repeat || document.querySelector('dialog[open]')) return
      event.preventDefault()
      form.current?.requestSubmit()
    }
    addEventListener('keydown', onKeyDown)
    return () => removeEventListener('keydown', onKeyDown)
  }, [form])
}

function isApple(): boolean {
  return /Mac|iPhone|iPad/.test(navigator.userAgent)
}
