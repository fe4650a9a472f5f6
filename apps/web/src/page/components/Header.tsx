import { type Language, useLanguage, useTexts } from '../texts/use-texts.ts'
import { useTheme } from '../use-theme.ts'
import { Monitor, Moon, Sun } from './icons.ts'
import { Mark } from './Mark.tsx'
import { Segments } from './Segments.tsx'

const LANGUAGES: { value: Language; label: string; name: string }[] = [
  { value: 'en', label: 'EN', name: 'English' },
  { value: 'zh', label: '中', name: '中文' },
]

/** The top of the page: what it is, and how it is to look and speak. */
export function Header() {
  const texts = useTexts()
  const { language, choose } = useLanguage()
  return (
    <header className="header">
      <Mark />
      <h1>{texts.title}</h1>
      <div className="header-choices">
        <Segments label={texts.language} options={LANGUAGES} value={language} onChange={choose} />
        <ThemeSwitch />
      </div>
    </header>
  )
}

function ThemeSwitch() {
  const texts = useTexts()
  const { chosen, choose } = useTheme()
  const options = [
    { value: 'system', label: <Monitor aria-hidden />, name: texts.themes.system },
    { value: 'light', label: <Sun aria-hidden />, name: texts.themes.light },
    { value: 'dark', label: <Moon aria-hidden />, name: texts.themes.dark },
  ] as const
  return (
    <Segments
      label={texts.theme}
      options={options}
      value={chosen ?? 'system'}
      onChange={(theme) => choose(theme === 'system' ? undefined : theme)}
    />
  )
}
