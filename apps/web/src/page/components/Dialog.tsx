import { type ReactNode, useLayoutEffect, useRef } from 'react'
import { useTexts } from '../texts/use-texts.ts'
import { X } from './icons.ts'

type DialogProps = { title: string; className?: string; onClose: () => void; children: ReactNode }

/** A window over the page; the browser keeps the focus inside, closes it with Esc and gives the focus back. */
export function Dialog({ title, className = '', onClose, children }: DialogProps) {
  const texts = useTexts()
  const dialog = useRef<HTMLDialogElement>(null)
  // Closed before React takes it out of the page, or the browser would not give the focus back.
  useLayoutEffect(() => {
    const element = dialog.current
    element?.showModal()
    return () => element?.close()
  }, [])
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Esc does what the click beside the window does
    <dialog
      ref={dialog}
      className={`dialog ${className}`}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault()
        onClose()
      }}
      onClick={(event) => event.target === dialog.current && onClose()}
    >
      <div className="dialog-head">
        <h2>{title}</h2>
        <button type="button" className="icon-button" aria-label={texts.close} onClick={onClose}>
          <X aria-hidden />
        </button>
      </div>
      {children}
    </dialog>
  )
}
