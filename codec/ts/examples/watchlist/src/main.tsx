import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Watchlist } from './Watchlist';
import './style.css';

/** ?node=ws://localhost:8080&rate=10: whom to ask, and how many updates a second and symbol are wanted; rate=0 is all. */
const asked = new URLSearchParams(location.search);

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <Watchlist node={asked.get('node') ?? 'ws://localhost:8080'} rate={Number(asked.get('rate') ?? 10)} />
  </StrictMode>,
);
