import { useState } from 'react'
import { describeError } from '../describe-error.ts'
import { useTexts } from '../texts/use-texts.ts'
import { useNow } from '../use-now.ts'
import { CircleAlert } from './icons.ts'

type FailureNoticeProps = { error: unknown; onRetry: () => void }

/** Says in words what went wrong and what to do; offers to try again where that can help. */
export function FailureNotice({ error, onRetry }: FailureNoticeProps) {
  const texts = useTexts()
  const { title, hint, canRetry, retryAfterSeconds } = describeError(error, texts)
  const [shownAtMs] = useState(Date.now)
  const nowMs = useNow(retryAfterSeconds > 0)
  const waitSeconds = Math.max(0, Math.ceil(retryAfterSeconds - (nowMs - shownAtMs) / 1000))
  return (
    <div className="notice">
      <CircleAlert aria-hidden />
      {/* The seconds count down outside of the alert, or a screen reader would read each of them. */}
      <div role="alert">
        <p className="notice-title">{title}</p>
        <p>{hint}</p>
      </div>
      {canRetry && (
        <button type="button" className="button" disabled={waitSeconds > 0} onClick={onRetry}>
          {waitSeconds > 0 ? texts.tryAgainIn(waitSeconds) : texts.tryAgain}
        </button>
      )}
    </div>
  )
}
