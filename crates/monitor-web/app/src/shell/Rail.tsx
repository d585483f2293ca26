import { useQuery } from "@tanstack/react-query";
import { Link, useRouterState } from "@tanstack/react-router";
import { useSyncExternalStore } from "react";
import { fetchStatus } from "../api/client.ts";
import { count, t } from "../i18n.ts";
import { alertsStore } from "../live/live.ts";
import { GROUPS, type RailSection, sections } from "../screens/screen.ts";
import { Button } from "../ui/Button.tsx";
import { Icon, ICONS } from "../ui/Icon.tsx";
import { Menu } from "../ui/Menu.tsx";
import { useNarrow } from "../ui/useNarrow.ts";
import { ConnectionState } from "./ConnectionState.tsx";
import { PALETTE_KEY } from "./keys.ts";
import { LanguageButton } from "./LanguageButton.tsx";
import { ThemeButton } from "./ThemeButton.tsx";

interface Props {
  onFind: () => void;
  onHelp: () => void;
}

/** The navigation: sections and page settings, at the left, or at the bottom of a narrow screen. */
export function Rail(props: Props) {
  const narrow = useNarrow();
  return narrow ? <Bottom {...props} /> : <Side {...props} />;
}

function Side({ onFind, onHelp }: Props) {
  return (
    <header className="rail">
      <Link to="/tasks" className="brand" aria-label={t("app.name")}>
        <img src="/favicon.svg" alt="" width="16" height="16" /> <span className="label">{t("app.name")}</span>
      </Link>
      <Button className="find" aria-keyshortcuts="Control+K" title={t("palette.title")} onClick={onFind}>
        <Icon d={ICONS.search} /> <span className="label">{t("palette.title")}</span> <kbd>{PALETTE_KEY}</kbd>
      </Button>
      <nav aria-label={t("rail.title")}>
        {GROUPS.map((group) => {
          const own = sections.filter((section) => section.group === group);
          if (own.length === 0) return null;
          return (
            <div key={group} className="group" role="group" aria-label={t(`rail.${group}`)}>
              <p className="label" aria-hidden="true">
                {t(`rail.${group}`)}
              </p>
              {own.map((section) => (
                <Entry key={section.title} section={section} />
              ))}
            </div>
          );
        })}
      </nav>
      <div className="foot">
        <ConnectionState />
        <KeysButton onHelp={onHelp} />
        <LanguageButton />
        <ThemeButton />
      </div>
    </header>
  );
}

function Bottom({ onFind, onHelp }: Props) {
  const near = sections.filter(({ isNear }) => isNear);
  const rest = sections.filter(({ isNear }) => !isNear);
  return (
    <header className="rail bottom">
      <nav aria-label={t("rail.title")}>
        {near.map((section) => (
          <Entry key={section.title} section={section} />
        ))}
      </nav>
      <Menu className="more" label={<><Icon d={ICONS.more} /> <span className="hidden">{t("root.more")}</span> <Badge of={(...seen) => rest.reduce((sum, { badge }) => sum + (badge?.(...seen) ?? 0), 0)} /></>}>
        {rest.map((section) => (
          <span key={section.title} data-choice>
            <Entry section={section} />
          </span>
        ))}
        <Button className="find" data-choice onClick={onFind}>
          <Icon d={ICONS.search} /> {t("palette.title")}
        </Button>
        <KeysButton onHelp={onHelp} />
        <LanguageButton />
        <ThemeButton />
      </Menu>
      <ConnectionState />
    </header>
  );
}

function KeysButton({ onHelp }: { onHelp: () => void }) {
  return (
    <Button className="keys" aria-keyshortcuts="?" aria-label={t("keys.title")} title={t("keys.title")} onClick={onHelp}>
      ?
    </Button>
  );
}

function Entry({ section: { path, title, icon, search = {}, badge } }: { section: RailSection }) {
  const current = useCurrent();
  return (
    <Link to={path} search={search} className="entry" title={t(title)} activeOptions={{ exact: true, includeSearch: true }} aria-current={current === title ? "page" : undefined}>
      <Icon d={icon} /> <span className="label">{t(title)}</span>
      {badge && <Badge of={badge} />}
    </Link>
  );
}

/** Returns the section of the current address. Of several sections with the same path, the query string decides. */
function useCurrent(): string | undefined {
  return useRouterState({
    select: ({ location: { pathname, search } }) => {
      const has = (wanted: Readonly<Record<string, string>> = {}) => Object.entries(wanted).every(([key, value]) => (search as Record<string, unknown>)[key] === value);
      // Addresses below a section's path belong to the section, such as a worker's page to the workers.
      const ofPath = sections.filter(({ path }) => path === pathname || (path !== "/tasks" && pathname.startsWith(`${path}/`)));
      const found = ofPath.find((section) => section.search && has(section.search)) ?? ofPath.find((section) => !section.search);
      // A run's page belongs to the list of runs.
      return (found ?? (pathname.startsWith("/tasks/") ? sections[0] : undefined))?.title;
    },
  });
}

const STATUS_MS = 15_000;
const MOST = 99;

/** Number of items that need attention. Alerts are current; other numbers are read in the background. */
function Badge({ of }: { of: NonNullable<RailSection["badge"]> }) {
  const query = useQuery({ queryKey: ["status"], queryFn: ({ signal }) => fetchStatus(signal), refetchInterval: STATUS_MS });
  const alerts = useSyncExternalStore(alertsStore.subscribe, alertsStore.get);
  const needs = of(query.data, alerts?.firing ?? 0);
  if (needs === 0) return null;
  return (
    <span className="badge" title={t("rail.badge", { count: count(needs) })}>
      <span aria-hidden="true">{needs > MOST ? `${MOST}+` : needs}</span>
      <span className="hidden">{t("rail.badge", { count: count(needs) })}</span>
    </span>
  );
}
