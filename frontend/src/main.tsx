import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { worthRetrying } from "./api/client";
import { App } from "./app";
import { Preferences } from "./prefs";
import "./style.css";
import { WalletProvider } from "./wallet/context";

const client = new QueryClient({
  defaultOptions: { queries: { retry: worthRetrying, staleTime: 15_000, refetchOnWindowFocus: false } },
});

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <Preferences>
        <WalletProvider>
          <App />
        </WalletProvider>
      </Preferences>
    </QueryClientProvider>
  </StrictMode>,
);
