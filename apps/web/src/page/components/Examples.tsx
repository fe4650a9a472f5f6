import { examplePrompts } from '../example-prompts.ts'
import { useLanguage, useTexts } from '../texts/use-texts.ts'

/** Prompts to start from. */
export function Examples({ onPick }: { onPick: (prompt: string) => void }) {
  const texts = useTexts()
  const { language } = useLanguage()
  return (
    <section className="examples" aria-labelledby="examples-title">
      <h3 id="examples-title" className="label">
        {texts.examplesTitle}
      </h3>
      <ul>
        {examplePrompts.map((example) => (
          <li key={example.prompt}>
            <button
              type="button"
              className="chip"
              title={language === 'zh' ? example.prompt : undefined}
              onClick={() => onPick(example.prompt)}
            >
              {language === 'zh' ? example.zh : example.prompt}
            </button>
          </li>
        ))}
      </ul>
    </section>
  )
}
