import { useEffect } from 'react'
import { usePreference } from '../preferences.ts'
import { en, type Texts } from './en.ts'
import { zh } from './zh.ts'

export type Language = 'en' | 'zh'

const LANGUAGES: Record<Language, { texts: Texts; tag: string }> = {
  en: { texts: en, tag: 'en' },
  zh: { texts: zh, tag: 'zh-CN' },
}

/** The language on screen, the chosen one or the browser's, and how to choose. */
export function useLanguage() {
  const [chosen, choose] = usePreference<Language>('language', ['en', 'zh'])
  const language = chosen ?? languageOf(navigator.languages)
  return { language, choose }
}

/** The words of the language on screen. */
export function useTexts(): Texts {
  return LANGUAGES[useLanguage().language].texts
}

/** Tells the browser which language the page is in, for screen readers, line breaks and fonts. */
export function useDocumentLanguage(): void {
  const { language } = useLanguage()
  useEffect(() => {
    document.documentElement.lang = LANGUAGES[language].tag
  }, [language])
}

/** The first of the browser's languages that the page speaks; English where it speaks none. */
export function languageOf(preferred: readonly string[]): Language {
  for (const tag of preferred) {
    const primary = tag.toLowerCase().split('-')[0]
    if (primary === 'zh' || primary === 'en') return primary
  }
  return 'en'
}
