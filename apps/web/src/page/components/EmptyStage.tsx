import { useTexts } from '../texts/use-texts.ts'
import { Landscape } from './Dots.tsx'
import { Examples } from './Examples.tsx'

/** The stage before anything was asked for. */
export function EmptyStage({ onPick }: { onPick: (prompt: string) => void }) {
  const texts = useTexts()
  return (
    <div className="empty">
      <Landscape />
      <h2>{texts.emptyTitle}</h2>
      <p>{texts.emptyHint}</p>
      <Examples onPick={onPick} />
    </div>
  )
}
