/** The few building blocks every page uses. */
import type { UseQueryResult } from "@tanstack/react-query";
import { type ReactNode, useId, useState } from "react";
import { ApiError, Unreachable } from "../api/client";
import { short } from "../format";
import { useText } from "../prefs";
import { TransactionFailed } from "../wallet/activity";
import { rejected } from "../wallet/providers";

export function Page({ title, lead, children }: { title: string; lead?: string; children: ReactNode }) {
  return (
    <>
      <h1>{title}</h1>
      {lead && <p className="lead">{lead}</p>}
      {children}
    </>
  );
}

export function Card(props: { title?: ReactNode; aside?: ReactNode; className?: string; children: ReactNode }) {
  return (
    <section className={`card ${props.className ?? ""}`}>
      {(props.title || props.aside) && (
        <header>
          {props.title && <h2>{props.title}</h2>}
          {props.aside}
        </header>
      )}
      {props.children}
    </section>
  );
}

export const Skeleton = ({ height = "8rem" }: { height?: string }) => (
  <div className="skeleton" style={{ height }} aria-hidden="true" />
);

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <svg viewBox="0 0 24 24" aria-hidden="true">
        <path d="M13.5 2 4.5 13.6h6L9.2 22l9.3-12.2h-6.2z" />
      </svg>
      <strong>{title}</strong>
      {children && <p>{children}</p>}
    </div>
  );
}

/** What went wrong in words, and how to mend it. */
export function useErrorText(): (error: unknown) => string {
  const t = useText();
  return (error) => {
    if (rejected(error)) return t.wallet.rejected;
    if (error instanceof TransactionFailed) return t.activity.ended[error.fate](short(error.hash));
    if (error instanceof Unreachable) return t.state.unreachable;
    if (error instanceof Error && /insufficient funds/i.test(error.message)) return t.wallet.noGas;
    if (error instanceof ApiError)
      return error.problem.mend ? `${error.problem.detail}: ${error.problem.mend}` : error.problem.detail;
    return error instanceof Error ? error.message : String(error);
  };
}

export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  const t = useText();
  const words = useErrorText();
  return (
    <div className="failure" role="alert">
      <strong>{t.state.failed}</strong>
      <p>{words(error)}</p>
      {retry && (
        <button type="button" onClick={retry}>
          {t.state.retry}
        </button>
      )}
    </div>
  );
}

/** A query's three states; `height` keeps the place while it loads. */
export function Loaded<T>(props: { query: UseQueryResult<T>; height?: string; children: (data: T) => ReactNode }) {
  const { query } = props;
  if (query.data !== undefined) return props.children(query.data);
  if (query.isError) return <Failure error={query.error} retry={() => query.refetch()} />;
  return <Skeleton height={props.height} />;
}

export function Segments<T extends string>(props: {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
}) {
  return (
    <fieldset className="segments">
      <legend className="visually-hidden">{props.label}</legend>
      {props.options.map(([value, label]) => (
        <button
          key={value}
          type="button"
          aria-pressed={value === props.value}
          onClick={() => value !== props.value && props.onChange(value)}
        >
          {label}
        </button>
      ))}
    </fieldset>
  );
}

export function Field(props: { label: string; hint?: ReactNode; children: (id: string) => ReactNode }) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{props.label}</label>
      {props.children(id)}
      {props.hint && <small>{props.hint}</small>}
    </div>
  );
}

export function Choice<T extends string | number>(props: {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
}) {
  return (
    <Field label={props.label}>
      {(id) => (
        <select
          id={id}
          value={props.value}
          onChange={(event) => props.onChange(props.options[event.target.selectedIndex]![0])}
        >
          {props.options.map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

export type Tone = "good" | "bad" | "warn" | "plain";
export const Badge = ({ tone = "plain", children }: { tone?: Tone; children: ReactNode }) => (
  <span className={`badge ${tone}`}>{children}</span>
);

/** A hash or address, shortened, with the whole on copy. */
export function Hex({ value }: { value: string }) {
  const t = useText();
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard?.writeText(value);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <button type="button" className="hex" title={value} onClick={copy}>
      <span className="visually-hidden">{t.action.copy} </span>
      {copied ? t.action.copied : short(value)}
    </button>
  );
}

export function Facts({ items }: { items: readonly (readonly [string, ReactNode] | null | false)[] }) {
  return (
    <dl className="facts">
      {items.map(
        (item) =>
          item && (
            <div key={item[0]}>
              <dt>{item[0]}</dt>
              <dd>{item[1]}</dd>
            </div>
          ),
      )}
    </dl>
  );
}

/** A wide table scrolls inside its own frame, by keyboard too. */
export function TableFrame({ label, children }: { label: string; children: ReactNode }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be reachable by keyboard
    <section className="table" aria-label={label} tabIndex={0}>
      {children}
    </section>
  );
}
