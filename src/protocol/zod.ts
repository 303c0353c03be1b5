import * as z from 'zod/mini'
import type { Form, Rule } from './forms.ts'

/** The words that a schema of `form.word` knows, for whoever prints it. */
export const KNOWN_WORDS = new WeakMap<object, readonly string[]>()

/** The zod schema of a form, for the relay: it tells what is wrong with a value, and can be printed as JSON Schema. */
export function zodOf<T>({ rule }: Form<T>): z.ZodMiniType<T> {
  return schemaOf(rule) as z.ZodMiniType<T>
}

function schemaOf(rule: Rule): z.ZodMiniType {
  switch (rule.is) {
    case 'string': {
      const { min, max, pattern, holds } = rule
      const checks: z.core.$ZodCheck<string>[] = []
      if (min !== undefined) checks.push(z.minLength(min))
      if (max !== undefined) checks.push(z.maxLength(max))
      if (pattern) checks.push(z.regex(pattern))
      if (holds) checks.push(z.refine(holds))
      return z.string().check(...checks)
    }
    case 'word': {
      const { words, otherwise, max } = rule
      const schema = z.string().check(
        z.maxLength(max),
        z.overwrite((text) => words.find((word) => word === text) ?? otherwise),
      )
      KNOWN_WORDS.set(schema, words)
      return schema
    }
    case 'integer':
      return z.int().check(z.minimum(rule.min), ...(rule.max === undefined ? [] : [z.maximum(rule.max)]))
    case 'boolean':
      return z.boolean()
    case 'literal':
      return z.literal([...rule.values])
    case 'array':
      return z.array(zodOf(rule.of)).check(z.maxLength(rule.max))
    case 'optional':
      return z.optional(zodOf(rule.of))
    case 'object': {
      const fields = Object.entries(rule.fields).map(([name, field]) => [name, zodOf(field)])
      const { holds = () => true } = rule
      return z.object(Object.fromEntries(fields)).check(z.refine((value) => holds(value as never)))
    }
  }
}
