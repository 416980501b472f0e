/**
 * config.yaml of the data directory: the app's own file, which its pages and people change too.
 * Reading believes no more than it sees: nothing is healed or dropped, because a value that a form
 * does not understand is still somebody's. Writing replaces the file in one step, so that a full
 * disk or a reader in between never meets half of it.
 */
import { FileHelper, z } from '@start9labs/start-sdk'
import {
  chown,
  mkdir,
  open,
  readFile,
  rename,
  rm,
  stat,
} from 'node:fs/promises'
import { dirname } from 'node:path'
import { sdk } from '../sdk'
import { Sections, parse, rewrite } from '../settings/rewrite'
import { SECTIONS } from '../settings/schema'
import { CONFIG, OWNER } from '../shared'

const place = { base: sdk.volumes.main, subpath: CONFIG }

/** For main, which follows one value: everything else may be anything. */
export const configYaml = FileHelper.yaml(
  place,
  z.looseObject({ log: z.unknown().optional() }),
  { version: '1.1' },
)

const path = () => place.base.subpath(place.subpath)

const text = () =>
  readFile(path(), 'utf8').catch((error) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })

/** The sections as they are written, unchecked. A file that is not YAML is refused by name. */
export async function readSections(): Promise<Sections> {
  return understood(parse, await text())
}

/** A group as a form shows it: what is there and sound, else the default. */
export function shown<
  K extends 'engine' | 'gateway' | 'audio' | 'web' | 'auth' | 'log',
>(sections: Sections, section: K): z.infer<(typeof SECTIONS)[K]> {
  const shape = SECTIONS[section].shape as Record<string, z.ZodType>
  const found = (sections[section] ?? {}) as Record<string, unknown>
  return Object.fromEntries(
    Object.entries(shape).map(([key, field]) => {
      const value = field.safeParse(found[key])
      return [key, value.success ? value.data : field.parse(undefined)]
    }),
  ) as z.infer<(typeof SECTIONS)[K]>
}

/** Items of a list; those with mistakes are shown as far as they go, never left out. */
export function listed<T>(
  sections: Sections,
  section: 'hosts' | 'services',
): Partial<T>[] {
  const found = sections[section]
  const shape = SECTIONS[section].element.shape as Record<string, z.ZodType>
  return (Array.isArray(found) ? found : []).map((item) =>
    Object.fromEntries(
      Object.entries(shape).flatMap(([key, field]) => {
        const value = field.safeParse(item?.[key])
        return value.success ? [[key, value.data]] : []
      }),
    ),
  ) as Partial<T>[]
}

/** Save sections that were checked. What equals its default and is not written yet is left out. */
export async function saveSections(changes: Sections): Promise<void> {
  const before = await text()
  const after = understood(
    (old) => rewrite(old, spare(parse(old), changes)),
    before,
  )
  if (after !== before) await replace(after)
}

function understood<T>(read: (raw: string) => T, raw: string): T {
  try {
    return read(raw)
  } catch (error) {
    const reason =
      error instanceof Error ? error.message.split('\n')[0] : String(error)
    throw new Error(
      `${CONFIG} has a mistake that must be corrected first: ${reason}`,
    )
  }
}

function spare(before: Sections, changes: Sections): Sections {
  const worth = (shape: z.ZodObject, old: unknown, fresh: unknown) =>
    Object.fromEntries(
      Object.entries(fresh as Sections).filter(([key, value]) => {
        const initial = (shape.shape[key] as z.ZodType).safeParse(undefined)
        const written = typeof old === 'object' && old !== null && key in old
        return written || !initial.success || !same(initial.data, value)
      }),
    )
  const itemNamed = (section: string, name: unknown) => {
    const items = before[section]
    return Array.isArray(items)
      ? items.find((item) => item?.name === name)
      : undefined
  }
  const kept = Object.entries(changes).map(([section, value]) => {
    const shape = SECTIONS[section as keyof typeof SECTIONS]
    if (!Array.isArray(value))
      return [section, worth(shape as z.ZodObject, before[section], value)]
    const { element } = shape as z.ZodArray<z.ZodObject>
    return [
      section,
      value.map((item) => worth(element, itemNamed(section, item.name), item)),
    ]
  })
  // A group that would say nothing is not begun.
  return Object.fromEntries(
    kept.filter(
      ([section, value]) =>
        (section as string) in before ||
        Array.isArray(value) ||
        Object.keys(value as Sections).length,
    ),
  )
}

const same = (left: unknown, right: unknown) =>
  JSON.stringify(left) === JSON.stringify(right)

async function replace(content: string): Promise<void> {
  const target = path()
  const partial = `${target}.part`
  await mkdir(dirname(target), { recursive: true })
  const mode = await stat(target).then(
    (found) => found.mode & 0o755,
    () => 0o600,
  )
  try {
    const file = await open(partial, 'w', mode)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await chown(partial, OWNER.uid, OWNER.gid)
    await rename(partial, target)
  } finally {
    await rm(partial, { force: true })
  }
}
