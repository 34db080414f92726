// Figures and times as a person reads them, in the language of the browser.

/** An amount of money with all its digits, which a number of JavaScript would not have. */
export function money(amount: string | null, sign: "auto" | "exceptZero" = "auto"): string {
  if (amount === null) {
    return "–";
  }
  const format = new Intl.NumberFormat(undefined, { minimumFractionDigits: 2, signDisplay: sign });
  return format.format(amount as unknown as number); // takes a decimal as text, too
}

export const signOf = (amount: string | null): -1 | 0 | 1 =>
  amount === null || /^-?[0.]*$/.test(amount) ? 0 : amount.startsWith("-") ? -1 : 1;

const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** A time in the viewer's zone, which it names. */
export function time(at: string | null, zone: string = ZONE): string {
  if (at === null) {
    return "–";
  }
  return new Intl.DateTimeFormat(undefined, {
    day: "numeric", hour: "2-digit", minute: "2-digit", month: "short", timeZone: zone,
    timeZoneName: "short", weekday: "short",
  }).format(new Date(at));
}

/** How long something took, or has taken until now. */
export function took(began: string | null, ended: string | null, now: string): string {
  if (began === null) {
    return "–";
  }
  const seconds = Math.max(0, (Date.parse(ended ?? now) - Date.parse(began)) / 1000);
  if (seconds < 60) {
    return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  }
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export const count = (number: number, one: string, more: string = `${one}s`): string =>
  `${number} ${number === 1 ? one : more}`;
