import { en } from "./en";
import { zh } from "./zh";

export type Language = "en" | "zh";
/** Every language has exactly the keys of the English catalogue, with the same parameters. */
export type Dictionary = typeof en;
export const dictionaries: Record<Language, Dictionary> = { en, zh };
