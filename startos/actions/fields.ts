/** Form fields from the table of settings, so that a form shows the bounds its handler enforces. */
import { sdk } from '../sdk'
import { Bound, Pattern } from '../settings/values'

const { List, Value } = sdk

type Words = { name: string; description: string; placeholder?: string }

export const requiredText = (
  pattern: Pattern,
  words: Words,
  initial: string | null = null,
) =>
  Value.text({
    ...words,
    required: true,
    default: initial,
    patterns: [pattern],
  })

export const optionalText = (pattern: Pattern, words: Words) =>
  Value.text({ ...words, required: false, default: null, patterns: [pattern] })

export const texts = (pattern: Pattern, { placeholder, ...words }: Words) =>
  Value.list(List.text(words, { patterns: [pattern], placeholder }))

export const number = (
  { default: initial, ...bound }: Bound,
  words: Words & { units?: string },
) => Value.number({ ...words, ...bound, required: true, default: initial })

export const choice = <T extends string>(
  labels: Record<T, string>,
  initial: NoInfer<T>,
  words: Omit<Words, 'placeholder'>,
) => Value.select({ ...words, default: initial, values: labels })
