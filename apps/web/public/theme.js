// Runs before the first paint, or a dark page would flash white while the rest of the script loads.
try {
  const theme = localStorage.getItem('theme')
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme
} catch {
  // The browser keeps nothing for this page: the system's theme stands.
}
