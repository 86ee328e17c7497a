/** Routes; every page but the market is loaded when it is opened. */
import { lazy, Suspense } from "react";
import { Route, Switch } from "wouter";
import Market from "./market/page";
import { useText } from "./prefs";
import { Shell } from "./shell/shell";
import { Empty, Page, Skeleton } from "./ui/kit";

const pages = {
  "/orders/new": lazy(() => import("./orders/composer")),
  "/orders/:hash": lazy(() => import("./orders/order")),
  "/invoices/:hash": lazy(() => import("./orders/invoice")),
  "/transactions/:hash": lazy(() => import("./orders/transaction")),
  "/orders": lazy(() => import("./orders/list")),
  "/agreements/:agreement": lazy(() => import("./orders/agreement")),
  "/evidence": lazy(() => import("./evidence/page")),
  "/certificates": lazy(() => import("./certificates/page")),
  "/certificates/:id": lazy(() => import("./certificates/sheet")),
  "/provider": lazy(() => import("./records/provider")),
  "/supplier": lazy(() => import("./records/supplier")),
  "/grid": lazy(() => import("./grid/page")),
};

export function App() {
  const t = useText();
  return (
    <Shell>
      <Suspense fallback={<Skeleton height="30rem" />}>
        <Switch>
          <Route path="/" component={Market} />
          {Object.entries(pages).map(([path, component]) => (
            <Route key={path} path={path} component={component} />
          ))}
          <Route>
            <Page title={t.nav.missing}>
              <Empty title={t.nav.missingWhy} />
            </Page>
          </Route>
        </Switch>
      </Suspense>
    </Shell>
  );
}
