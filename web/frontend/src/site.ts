// What every page has.
export {};
