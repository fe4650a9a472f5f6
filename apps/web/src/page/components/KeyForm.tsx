import { useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { readApiKey, writeApiKey } from '../api/api-key.ts'
import { useTexts } from '../texts/use-texts.ts'
import { KeyRound } from './icons.ts'

/** Asks for the key that the service wants to see. */
export function KeyForm() {
  const texts = useTexts()
  const client = useQueryClient()
  const [key, setKey] = useState('')

  function submit(event: FormEvent) {
    event.preventDefault()
    if (key.trim() === '') return
    writeApiKey(key.trim())
    void client.refetchQueries({ predicate: ({ state }) => state.status === 'error' })
  }

  return (
    <form className="banner" onSubmit={submit}>
      <KeyRound aria-hidden />
      <p role="status">
        <strong>{texts.keyNeeded}</strong> {readApiKey() === undefined ? texts.keyHint : texts.keyWrong}
      </p>
      <input
        className="field key"
        type="password"
        autoComplete="current-password"
        aria-label={texts.key}
        placeholder={texts.key}
        value={key}
        onChange={(event) => setKey(event.target.value)}
      />
      <button type="submit" className="button strong">
        {texts.useKey}
      </button>
    </form>
  )
}
