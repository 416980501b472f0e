/**
 * What sections of the settings must say to each other; pure. The app checks the same again
 * (`disagreements` in server/config/model.py).
 */
type Named = { name: string }
type Agreeing = {
  hosts: readonly Named[]
  services: readonly (Named & { host: string })[]
  defaultHost: string | null
}

export function disagreements(settings: Agreeing): string[] {
  const known = new Set(settings.hosts.map((host) => host.name))
  const names = [...known].sort().join(', ') || 'none yet'
  const missing = (who: string, host: string) =>
    `${who} names the host '${host}', which is not among the Sparks (these are: ${names})`
  return [
    ...twice('Spark', settings.hosts),
    ...twice('service', settings.services),
    ...settings.services
      .filter((service) => !known.has(service.host))
      .map((service) => missing(`the service '${service.name}'`, service.host)),
    ...(settings.defaultHost && !known.has(settings.defaultHost)
      ? [missing('engine.default_host', settings.defaultHost)]
      : []),
  ]
}

function twice(what: string, items: readonly Named[]): string[] {
  const names = items.map((item) => item.name)
  const repeated = new Set(
    names.filter((name, at) => names.indexOf(name) !== at),
  )
  return [...repeated].map(
    (name) => `two ${what}s are named '${name}': rename one`,
  )
}

/** Refuse in one sentence, if there is anything to refuse. */
export function refuse(problems: readonly string[]): void {
  if (problems.length) throw new Error(`Not saved: ${problems.join('; ')}.`)
}
