/** The running app, asked over HTTP: all containers of a service share one loopback. */
import { z } from '@start9labs/start-sdk'
import { readFile } from 'node:fs/promises'
import { sdk } from '../sdk'
import { LOCAL_TOKEN, UI_PORT } from '../shared'

const BASE = `http://127.0.0.1:${UI_PORT}`
const SECONDS = 10

const health = z.enum(['up', 'down', 'unknown'])

export const hostsAnswer = z.looseObject({
  hosts: z.array(
    z.looseObject({ name: z.string(), health, reason: z.string().nullish() }),
  ),
  problems: z.array(z.string()).default([]),
})

export const currentAnswer = z.looseObject({
  id: z.string().nullish(),
  model: z.string().nullish(),
  stage: z.string().nullish(),
  percent: z.number().nullish(),
  serving: z
    .looseObject({
      model: z.string(),
      host: z.string(),
      health: z.string().nullish(),
      reason: z.string().nullish(),
    })
    .nullish(),
})

export const servicesAnswer = z.looseObject({
  services: z.array(
    z.looseObject({ name: z.string(), health, reason: z.string().nullish() }),
  ),
})

export const checkAnswer = z.looseObject({
  host: z.string(),
  ok: z.boolean(),
  findings: z.array(
    z.looseObject({
      severity: z.string(),
      message: z.string(),
      advice: z.string().nullish(),
    }),
  ),
})

const readyAnswer = z.looseObject({
  checks: z
    .array(
      z.looseObject({
        name: z.string(),
        health: z.string(),
        reason: z.string().nullish(),
        required: z.boolean(),
      }),
    )
    .default([]),
})

export const keysAnswer = z.looseObject({
  keys: z.array(
    z.looseObject({
      id: z.string(),
      name: z.string(),
      state: z.string(),
      scopes: z.array(z.string()),
      last_used_at: z.string().nullish(),
      expires_at: z.string().nullish(),
    }),
  ),
})

export const keyAnswer = z.looseObject({ key: z.string(), name: z.string() })

const refusal = z.looseObject({ error: z.looseObject({ message: z.string() }) })

export type Hosts = z.infer<typeof hostsAnswer>
export type Current = z.infer<typeof currentAnswer>
export type Services = z.infer<typeof servicesAnswer>
export type Check = z.infer<typeof checkAnswer>

type Asked = { method?: string; seconds?: number; body?: object }

/** With a password on the app its API asks for this; without one it is not looked at. */
async function credentials(): Promise<Record<string, string>> {
  const token = await readFile(
    sdk.volumes.main.subpath(LOCAL_TOKEN),
    'ascii',
  ).catch(() => '')
  return token ? { authorization: `Bearer ${token.trim()}` } : {}
}

/** A JSON answer in the shape that is expected; otherwise an error with the app's own sentence. */
export async function ask<T extends z.ZodType>(
  shape: T,
  path: string,
  { method = 'GET', seconds = SECONDS, body: sent }: Asked = {},
): Promise<z.infer<T>> {
  const answer = await fetch(BASE + path, {
    method,
    headers: {
      ...(await credentials()),
      ...(sent ? { 'content-type': 'application/json' } : {}),
    },
    body: sent ? JSON.stringify(sent) : undefined,
    signal: AbortSignal.timeout(seconds * 1000),
  }).catch((error: unknown) => {
    const late = error instanceof Error && error.name === 'TimeoutError'
    throw new Error(
      late
        ? `Spark Control took longer than ${seconds} s.`
        : 'Spark Control does not answer.',
    )
  })
  const body: unknown = await answer.json().catch(() => null)
  if (!answer.ok) {
    const told = refusal.safeParse(body)
    throw new Error(
      told.success
        ? told.data.error.message
        : `Spark Control answered ${answer.status}.`,
    )
  }
  const read = shape.safeParse(body)
  if (!read.success)
    throw new Error(`Spark Control answered ${path} in an unknown form.`)
  return read.data
}

/** Null when everything required is up, else what is not. Any other answer than 2xx is a no. */
export async function notReady(): Promise<string | null> {
  const answer = await fetch(`${BASE}/readyz`, {
    headers: await credentials(),
    signal: AbortSignal.timeout(SECONDS * 1000),
  }).catch(() => null)
  if (answer?.ok) return null
  if (!answer) return 'Spark Control does not answer yet'
  const told = readyAnswer.safeParse(await answer.json().catch(() => null))
  const missing = told.success
    ? told.data.checks.filter(
        (check) => check.required && check.health !== 'up',
      )
    : []
  return (
    missing
      .map(({ name, reason }) => `${name}: ${reason || 'not up'}`)
      .join('; ') || `Spark Control answers ${answer.status}`
  )
}
