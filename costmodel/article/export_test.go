package article

// Replace changes a value.
func (fs *Figures) Replace(i int, value float64) {
	f := fs.All[i]
	f.Value = value
	fs.All[i] = f
	fs.at[key{f.Table, f.Row, f.System, f.Metric}] = f
}
