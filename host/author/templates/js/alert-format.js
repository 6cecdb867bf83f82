// How should an alert read? In a few plain lines: the reason, and what was done.

import { text } from "trimtab:policy/settings@0.1.0";

/** @type {import("trimtab:policy/alert-format@0.1.0").AlertFormat} */
export const alertFormat = {
  // Asked for each channel that policy.toml names.
  render(alert, _channel) {
    const { model, version } = alert.subject;
    const body = [alert.reason, ...alert.actions.map((action) => `- ${action}`)].join("\n");
    return { title: `${text("prefix")}: ${model} ${version}`, body, rich: null };
  },
};
