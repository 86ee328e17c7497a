/** Times. The market's day begins at its batch start, so the market's clock is a fixed offset from UTC. */
export type Clock = "market" | "utc" | "local";

const DAY = 86_400;

/** Seconds to add to UTC so that `batchStart` reads 00:00; between -12 h and +14 h. */
export function marketOffset(batchStart: number): number {
  const past = ((batchStart % DAY) + DAY) % DAY;
  return past === 0 ? 0 : past >= 10 * 3600 ? DAY - past : -past;
}

/** Seconds to add to `unix` so that its UTC fields read as the clock's. */
function shift(unix: number, clock: Clock, offset: number): number {
  if (clock === "utc") return 0;
  if (clock === "market") return offset;
  return -60 * new Date(unix * 1000).getTimezoneOffset();
}

export interface Times {
  /** 09:15 */
  hour: (unix: number) => string;
  /** Mon 23 Nov */
  day: (unix: number) => string;
  /** 23 Nov 2026, 09:15 */
  moment: (unix: number) => string;
  /** UTC+2 */
  zone: (unix: number) => string;
}

/** Formatters of one clock and language. */
export function timesOf(language: "en" | "zh", clock: Clock, offset: number): Times {
  const locale = language === "zh" ? "zh-CN" : "en-GB";
  const format = (options: Intl.DateTimeFormatOptions) =>
    new Intl.DateTimeFormat(locale, { ...options, timeZone: "UTC", hourCycle: "h23" });
  const at = (unix: number) => new Date((unix + shift(unix, clock, offset)) * 1000);
  const hour = format({ hour: "2-digit", minute: "2-digit" });
  const day = format({ weekday: "short", day: "numeric", month: "short" });
  const moment = format({ day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });
  return {
    hour: (unix) => hour.format(at(unix)),
    day: (unix) => day.format(at(unix)),
    moment: (unix) => moment.format(at(unix)),
    zone: (unix) => {
      const minutes = Math.round(shift(unix, clock, offset) / 60);
      const rest = Math.abs(minutes) % 60;
      const hours = `${minutes < 0 ? "−" : "+"}${Math.trunc(Math.abs(minutes) / 60)}`;
      return minutes === 0 ? "UTC" : `UTC${hours}${rest ? `:${String(rest).padStart(2, "0")}` : ""}`;
    },
  };
}
