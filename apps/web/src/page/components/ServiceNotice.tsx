import { ApiError } from '../api/call-api.ts'
import { useModels } from '../api/list-models.ts'
import { useTexts } from '../texts/use-texts.ts'
import { PlugZap } from './icons.ts'
import { KeyForm } from './KeyForm.tsx'

/** Says that the service is away, or wants a key, for as long as that is so. */
export function ServiceNotice() {
  const texts = useTexts()
  const { error, isFetching, refetch } = useModels()
  if (!(error instanceof ApiError)) return null
  if (error.code === 'unauthorized') return <KeyForm />
  if (error.code !== 'unavailable') return null
  return (
    <div className="banner" role="status">
      <PlugZap aria-hidden />
      <p>
        <strong>{texts.away}</strong> {texts.awayHint}
      </p>
      <button type="button" className="button" disabled={isFetching} onClick={() => refetch()}>
        {texts.checkNow}
      </button>
    </div>
  )
}
