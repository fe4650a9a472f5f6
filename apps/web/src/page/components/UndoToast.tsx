import { useEffect } from 'react'
import { useTexts } from '../texts/use-texts.ts'

const SHOWN_MS = 8000

/** Offers to take the last removal back, for a while. */
export function UndoToast({ onUndo, onOver }: { onUndo: () => void; onOver: () => void }) {
  const texts = useTexts()
  useEffect(() => {
    const timer = setTimeout(onOver, SHOWN_MS)
    return () => clearTimeout(timer)
  }, [onOver])
  return (
    <div className="toast" role="status">
      {texts.removed}
      <button type="button" className="button" onClick={onUndo}>
        {texts.undo}
      </button>
    </div>
  )
}
