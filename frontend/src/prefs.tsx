/** Language, theme and clock: chosen once, kept in the browser. */
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from "react";
import { type Dictionary, dictionaries, type Language } from "./i18n";
import type { Clock } from "./time";

export type Theme = "light" | "dark";

interface Preferences {
  language: Language;
  theme: Theme;
  clock: Clock;
}

interface Context extends Preferences {
  text: Dictionary;
  change: (part: Partial<Preferences>) => void;
}

const KEY = "bitwatt.preferences";
const Prefs = createContext<Context | null>(null);

function initial(): Preferences {
  const root = document.documentElement;
  let clock: Clock = "market";
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}").clock;
    if (kept === "utc" || kept === "local") clock = kept;
  } catch {
    // nothing usable is stored
  }
  return { language: root.lang.startsWith("zh") ? "zh" : "en", theme: root.dataset.theme as Theme, clock };
}

export function Preferences({ children }: { children: ReactNode }) {
  const [state, setState] = useState(initial);
  useEffect(() => {
    document.documentElement.lang = state.language === "zh" ? "zh-CN" : "en";
    document.documentElement.dataset.theme = state.theme;
    try {
      localStorage.setItem(KEY, JSON.stringify(state));
    } catch {
      // storage is closed: the choice lasts as long as the page
    }
  }, [state]);
  const value = useMemo(
    () => ({
      ...state,
      text: dictionaries[state.language],
      change: (part: Partial<Preferences>) => setState((old) => ({ ...old, ...part })),
    }),
    [state],
  );
  return <Prefs.Provider value={value}>{children}</Prefs.Provider>;
}

export function usePreferences(): Context {
  const value = useContext(Prefs);
  if (!value) throw new Error("usePreferences is outside <Preferences>");
  return value;
}

export const useText = () => usePreferences().text;
