import { MAX_SEED } from '../draft/read-draft.ts'
import { useTexts } from '../texts/use-texts.ts'
import { Lock, LockOpen } from './icons.ts'

type SeedFieldProps = {
  /** Empty stands for a new one each time. */
  seed: string
  onSeed: (seed: string) => void
  lastSeed: number | undefined
  isFaulty: boolean
}

/** The seed, and a lock that keeps the last one or lets it go. */
export function SeedField({ seed, onSeed, lastSeed, isFaulty }: SeedFieldProps) {
  const texts = useTexts()
  const isLocked = seed.trim() !== ''
  const lock = () => onSeed(String(lastSeed ?? Math.floor(Math.random() * (MAX_SEED + 1))))
  const words = isLocked ? texts.unlockSeed : texts.lockSeed
  return (
    <div>
      <label className="label" htmlFor="seed">
        {texts.seed}
      </label>
      <div className="seed-row">
        <input
          id="seed"
          className="field seed"
          inputMode="numeric"
          autoComplete="off"
          placeholder={texts.seedPlaceholder}
          value={seed}
          aria-invalid={isFaulty}
          aria-describedby="seed-fault"
          onChange={(event) => onSeed(event.target.value)}
        />
        <button
          type="button"
          className="icon-button"
          aria-label={words}
          aria-pressed={isLocked}
          title={words}
          onClick={() => (isLocked ? onSeed('') : lock())}
        >
          {isLocked ? <Lock aria-hidden /> : <LockOpen aria-hidden />}
        </button>
      </div>
      <p id="seed-fault" className="fault" role="alert">
        {isFaulty && texts.seedInvalid}
      </p>
    </div>
  )
}
