/** Header, navigation, banners. */
import { useQuery } from "@tanstack/react-query";
import { lazy, type ReactNode, Suspense, useEffect, useState, useSyncExternalStore } from "react";
import { Link, useLocation } from "wouter";
import { short } from "../format";
import { usePreferences } from "../prefs";
import type { Clock } from "../time";
import { useActivity } from "../wallet/activity";
import { useWallet } from "../wallet/context";

const WalletDialog = lazy(() => import("../wallet/dialog"));
const panels = { search: lazy(() => import("./search")), activity: lazy(() => import("./activity")) };
type Panel = keyof typeof panels;

export function Shell({ children }: { children: ReactNode }) {
  const { text: t } = usePreferences();
  const { choosing } = useWallet();
  const [panel, setPanel] = useState<Panel | null>(null);
  const Open = panel && panels[panel];
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      if (event.key !== "k" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      setPanel("search");
    };
    window.addEventListener("keydown", listen);
    return () => window.removeEventListener("keydown", listen);
  }, []);
  return (
    <>
      <a className="skip" href="#main">
        {t.nav.skip}
      </a>
      <header className="top">
        <Link href="/" className="brand">
          <svg viewBox="0 0 24 24" aria-hidden="true">
            <path d="M13.5 2 4.5 13.6h6L9.2 22l9.3-12.2h-6.2z" />
          </svg>
          BitWatt
        </Link>
        <Navigation />
        <Tools open={setPanel} />
      </header>
      <Banner />
      <main id="main" tabIndex={-1}>
        {children}
      </main>
      {choosing && (
        <Suspense fallback={null}>
          <WalletDialog />
        </Suspense>
      )}
      {Open && (
        <Suspense fallback={null}>
          <Open close={() => setPanel(null)} />
        </Suspense>
      )}
    </>
  );
}

function Navigation() {
  const { text: t } = usePreferences();
  const [location] = useLocation();
  const items = [
    ["/", t.nav.market],
    ["/orders", t.nav.orders],
    ["/evidence", t.nav.evidence],
    ["/certificates", t.nav.certificates],
    ["/provider", t.nav.provider],
    ["/supplier", t.nav.supplier],
    ["/grid", t.nav.grid],
  ] as const;
  return (
    <nav aria-label={t.nav.label}>
      {items.map(([href, label]) => (
        <Link
          key={href}
          href={href}
          aria-current={(href === "/" ? location === "/" : location.startsWith(href)) ? "page" : undefined}
        >
          {label}
        </Link>
      ))}
    </nav>
  );
}

const CLOCKS: readonly Clock[] = ["market", "utc", "local"];

function Tools({ open }: { open: (panel: Panel) => void }) {
  const { text: t, language, theme, clock, change } = usePreferences();
  const { address, session, choose, signOut } = useWallet();
  const pending = useActivity().filter((entry) => entry.fate === "pending").length;
  return (
    <div className="tools">
      <button type="button" aria-label={t.search.title} title="Ctrl K" onClick={() => open("search")}>
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <circle cx="10.5" cy="10.5" r="6.5" />
          <path d="m15 16.4 1.4-1.4 5 5-1.4 1.4z" />
        </svg>
      </button>
      <button type="button" aria-label={t.activity.title} onClick={() => open("activity")}>
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <circle cx="12" cy="12" r="8.5" />
          <path d="M11 7h2v4.6l3.2 1.9-1 1.7-4.2-2.5z" />
        </svg>
        {pending > 0 && <small>{pending}</small>}
      </button>
      <select
        aria-label={t.nav.clock}
        value={clock}
        onChange={(event) => change({ clock: CLOCKS[event.target.selectedIndex]! })}
      >
        {CLOCKS.map((one) => (
          <option key={one} value={one}>
            {t.clock[one]}
          </option>
        ))}
      </select>
      <button
        type="button"
        lang={language === "zh" ? "en" : "zh-CN"}
        onClick={() => change({ language: language === "zh" ? "en" : "zh" })}
      >
        {language === "zh" ? "English" : "中文"}
      </button>
      <button
        type="button"
        aria-label={t.nav.theme}
        onClick={() => change({ theme: theme === "dark" ? "light" : "dark" })}
      >
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <circle cx="12" cy="12" r="8.5" />
          <path d="M12 3.5a8.5 8.5 0 0 1 0 17z" />
        </svg>
      </button>
      {address ? (
        <button type="button" onClick={signOut} title={address} className={session ? "signed" : undefined}>
          {short(address)} <small>{t.wallet.disconnect}</small>
        </button>
      ) : (
        <button type="button" className="primary" onClick={() => choose(true)}>
          {t.wallet.connect}
        </button>
      )}
    </div>
  );
}

const subscribe = (changed: () => void) => {
  window.addEventListener("online", changed);
  window.addEventListener("offline", changed);
  return () => {
    window.removeEventListener("online", changed);
    window.removeEventListener("offline", changed);
  };
};

function Banner() {
  const { text: t } = usePreferences();
  const online = useSyncExternalStore(subscribe, () => navigator.onLine);
  const health = useQuery({
    queryKey: ["health"],
    queryFn: async ({ signal }) => {
      const answer = await fetch("/health", { signal });
      if (!answer.ok) throw new Error(String(answer.status));
      return true;
    },
    refetchInterval: 20_000,
    enabled: online,
  });
  const words = !online ? t.state.offline : health.isError ? t.state.stale : null;
  return words ? (
    <p className="banner" role="status">
      {words}
    </p>
  ) : null;
}
