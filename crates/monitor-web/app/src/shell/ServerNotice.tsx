import { useQuery } from "@tanstack/react-query";
import { fetchStatus } from "../api/client.ts";
import { t } from "../i18n.ts";
import { visible } from "../model/text.ts";
import { Button } from "../ui/Button.tsx";

/** Shows a notice if the server has another version than this page, for example after an update while the page was open. */
export function ServerNotice() {
  const query = useQuery({ queryKey: ["status"], queryFn: ({ signal }) => fetchStatus(signal) });
  const version = query.data?.version;
  if (version === undefined || version === __PAGE_VERSION__) return null;
  return (
    <p className="server-notice" role="alert">
      {t("about.other-version", { server: visible(version), page: __PAGE_VERSION__ })}{" "}
      <Button className="outlined" onClick={() => location.reload()}>
        {t("app.reload")}
      </Button>
    </p>
  );
}
