/** A modal dialog with a title and a way out. */
import { type ReactNode, useEffect, useId, useRef } from "react";
import { useText } from "../prefs";

export function Dialog({ title, close, children }: { title: string; close: () => void; children: ReactNode }) {
  const t = useText();
  const id = useId();
  const ref = useRef<HTMLDialogElement>(null);
  useEffect(() => ref.current?.showModal(), []);
  return (
    <dialog ref={ref} aria-labelledby={id} onClose={close}>
      <header>
        <h2 id={id}>{title}</h2>
        <button type="button" className="plain" aria-label={t.action.close} onClick={() => ref.current?.close()}>
          ×
        </button>
      </header>
      {children}
    </dialog>
  );
}
