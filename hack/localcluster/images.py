def built(): return {}
