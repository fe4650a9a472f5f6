import { type FormEvent, type KeyboardEvent, useRef, useState } from 'react'
import { type Draft, type DraftFaults, type ImagesInput, readDraft } from '../read-draft.ts'
import { examplePrompts, texts } from '../texts.ts'
import { FailureNotice } from './FailureNotice.tsx'

const COUNTS = [1, 2, 3, 4]

type ComposerProps = {
  draft: Draft
  onDraft: (draft: Draft) => void
  onGenerate: (input: ImagesInput) => void
  isSending: boolean
  failure: { error: Error; input: ImagesInput } | undefined
}

/** The form: prompt, settings, button, and prompts to start from. */
export function Composer({ draft, onDraft, onGenerate, isSending, failure }: ComposerProps) {
  const prompt = useRef<HTMLTextAreaElement>(null)
  const seed = useRef<HTMLInputElement>(null)
  const [faults, setFaults] = useState<DraftFaults>({})

  function change(part: Partial<Draft>) {
    onDraft({ ...draft, ...part })
    setFaults({})
  }

  function submit(event?: FormEvent) {
    event?.preventDefault()
    if (isSending) return
    const read = readDraft(draft)
    if ('input' in read) return onGenerate(read.input)
    setFaults(read.faults)
    ;(read.faults.prompt ? prompt : seed).current?.focus()
  }

  function submitByKey(event: KeyboardEvent) {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) submit(event)
  }

  function pickExample(example: string) {
    change({ prompt: example })
    // On a phone focusing would raise the keyboard over the button that comes next.
    if (matchMedia('(pointer: fine)').matches) prompt.current?.focus()
  }

  return (
    <div className="composer">
      <form onSubmit={submit} onKeyDown={submitByKey} noValidate>
        <label className="label" htmlFor="prompt">
          {texts.promptLabel}
        </label>
        <textarea
          id="prompt"
          ref={prompt}
          className="prompt"
          rows={4}
          placeholder={texts.promptPlaceholder}
          value={draft.prompt}
          aria-invalid={faults.prompt !== undefined}
          aria-describedby={faults.prompt && 'prompt-fault'}
          onChange={(event) => change({ prompt: event.target.value })}
        />
        <Fault id="prompt-fault" text={faults.prompt && texts.promptMissing} />

        <div className="settings">
          <div className="setting">
            <label className="label" htmlFor="seed">
              {texts.seedLabel}
            </label>
            <input
              id="seed"
              ref={seed}
              className="seed"
              inputMode="numeric"
              autoComplete="off"
              placeholder={texts.seedPlaceholder}
              value={draft.seed}
              aria-invalid={faults.seed !== undefined}
              aria-describedby={faults.seed && 'seed-fault'}
              onChange={(event) => change({ seed: event.target.value })}
            />
          </div>
          <fieldset className="setting">
            <legend className="label">{texts.countLabel}</legend>
            <div className="counts">
              {COUNTS.map((n) => (
                <label key={n} className="count">
                  <input type="radio" name="n" checked={draft.n === n} onChange={() => change({ n })} />
                  <span>{n}</span>
                </label>
              ))}
            </div>
          </fieldset>
        </div>
        <Fault id="seed-fault" text={faults.seed && texts.seedInvalid} />

        <button type="submit" className="generate" aria-disabled={isSending}>
          {isSending ? texts.sending : texts.generate}
          <span className="shortcut" aria-hidden="true">
            {texts.shortcut(isApple())}
          </span>
        </button>
      </form>
      {failure && (
        <FailureNotice
          key={String(isSending)}
          error={failure.error}
          onRetry={() => onGenerate(failure.input)}
        />
      )}
      <Examples onPick={pickExample} />
    </div>
  )
}

function Fault({ id, text }: { id: string; text: string | undefined }) {
  return (
    <p id={id} className="fault" role="alert">
      {text}
    </p>
  )
}

function Examples({ onPick }: { onPick: (prompt: string) => void }) {
  return (
    <section className="examples" aria-labelledby="examples-title">
      <h2 id="examples-title" className="label">
        {texts.examplesTitle}
      </h2>
      <ul>
        {examplePrompts.map((example) => (
          <li key={example}>
            <button type="button" onClick={() => onPick(example)}>
              {example}
            </button>
          </li>
        ))}
      </ul>
    </section>
  )
}

function isApple(): boolean {
  return /Mac|iPhone|iPad/.test(navigator.userAgent)
}
