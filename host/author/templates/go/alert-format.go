// Package policy says how an alert reads: in a few plain lines, the reason and what was done.
package policy

import (
	"fmt"

	witTypes "go.bytecodealliance.org/pkg/wit/types"

	format "wit_component/trimtab_policy_alert_format"
	settings "wit_component/trimtab_policy_settings"
)

// Render is asked for each channel that policy.toml names.
func Render(alert format.Alert, channel string) witTypes.Result[format.Message, string] {
	body := alert.Reason
	for _, action := range alert.Actions {
		body += "\n- " + action
	}
	title := fmt.Sprintf("%s: %s %s", settings.Text("prefix"), alert.Subject.Model, alert.Subject.Version)
	message := format.Message{Title: title, Body: body, Rich: witTypes.None[string]()}
	return witTypes.Ok[format.Message, string](message)
}
