// Sets the theme before the first paint, so that a dark board never flashes white;
// a classic script for that reason. The system's preference rules until the toggle
// says otherwise, and again once the toggle agrees with it.
(() => {
  const key = 'tickwire.theme';
  const system = matchMedia('(prefers-color-scheme: dark)');
  const root = document.documentElement;

  function stored() {
    try {
      const s = localStorage.getItem(key);
      return s === 'dark' || s === 'light' ? s : null;
    } catch { return null; } // storage may be forbidden
  }

  const preferred = () => (system.matches ? 'dark' : 'light');

  function apply(theme = stored() ?? preferred()) {
    root.dataset.theme = theme;
    dispatchEvent(new Event('tickwire:theme'));
  }

  function toggle() {
    const next = root.dataset.theme === 'dark' ? 'light' : 'dark';
    try {
      if (next === preferred()) localStorage.removeItem(key);
      else localStorage.setItem(key, next);
    } catch { /* until the next visit */ }
    apply(next);
  }

  system.addEventListener('change', () => apply());
  apply();
  window.tickwireTheme = { toggle, now: () => root.dataset.theme };
})();
