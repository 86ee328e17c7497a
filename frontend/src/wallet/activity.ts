/** What this browser sent: kept over a reload, each entry followed until its fate is known. */
import { useSyncExternalStore } from "react";

export type Fate = "pending" | "done" | "failed" | "replaced" | "dropped";

export interface Activity {
  hash: string;
  /** what it does, in the words of the page that sent it */
  label: string;
  from: string;
  nonce: number;
  chainId: number;
  /** unix milliseconds */
  at: number;
  fate: Fate;
}

const KEY = "bitwatt.activity";
const MOST = 50;
const listeners = new Set<() => void>();
let entries: readonly Activity[] = load();

function load(): Activity[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? kept.filter((entry) => typeof entry?.hash === "string" && entry.fate) : [];
  } catch {
    return []; // storage is closed or holds something else
  }
}

/** Adds the entry, or replaces the one with the same hash. */
export function record(entry: Activity): void {
  entries = [entry, ...entries.filter((one) => one.hash !== entry.hash)].sort((a, b) => b.at - a.at).slice(0, MOST);
  try {
    localStorage.setItem(KEY, JSON.stringify(entries));
  } catch {
    // storage is closed: the list lasts as long as the page
  }
  for (const listener of listeners) listener();
}

export const activities = (): readonly Activity[] => entries;

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

/** The newest first. */
export const useActivity = (): readonly Activity[] => useSyncExternalStore(subscribe, activities);

export interface Sighting {
  receipt: { status: string } | null;
  /** the node still has the transaction, mined or not */
  known: boolean;
  /** how many transactions of the account are mined */
  mined: number;
  nonce: number;
  /** how many looks in a row found it unknown */
  unseen: number;
}

const PATIENT_LOOKS = 5;

/** A transaction's fate from one look at the chain. Another one mined with its nonce replaced it; a node that
 * forgot it while its nonce is still free dropped it. Pure. */
export function fateOf(look: Sighting): Fate {
  if (look.receipt) return look.receipt.status === "0x1" ? "done" : "failed";
  if (look.mined > look.nonce) return look.known ? "pending" : "replaced";
  return !look.known && look.unseen >= PATIENT_LOOKS ? "dropped" : "pending";
}

/** The transaction was mined and failed, was replaced or dropped. */
export class TransactionFailed extends Error {
  constructor(
    readonly hash: string,
    readonly fate: Exclude<Fate, "done">,
  ) {
    super(`${hash}: ${fate}`);
  }
}

/** Empties the list; what is pending on chain goes on without it. */
export function forget(): void {
  entries = [];
  localStorage.removeItem(KEY);
  for (const listener of listeners) listener();
}
