import { useModels } from '../api/list-models.ts'
import { useTexts } from '../texts/use-texts.ts'

/** Under whose terms the pictures are. */
export function Footer() {
  const texts = useTexts()
  const { data: models } = useModels()
  return (
    <footer className="footer">
      {models?.length ? (
        models.map(({ name, licence }) => (
          <p key={name}>
            {texts.licence(name)} {licence?.notice}{' '}
            {licence?.link ? <a href={licence.link}>{texts.licenceOf(licence.id)}</a> : licence?.id}
          </p>
        ))
      ) : (
        <p>{texts.licenceUnknown}</p>
      )}
      <p>
        {texts.aiNotice} <a href="docs">{texts.apiDocs}</a>
      </p>
    </footer>
  )
}
