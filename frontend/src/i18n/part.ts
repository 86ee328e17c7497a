/** A catalogue that is loaded with its page instead of with the first page. */
import { usePreferences } from "../prefs";

export interface Part<T> {
  en: T;
  zh: T;
}

/** Both languages of a page; the second must have exactly the keys of the first. */
export const part = <T>(en: T, zh: NoInfer<T>): Part<T> => ({ en, zh });

export const usePart = <T>(words: Part<T>): T => words[usePreferences().language];
