# Labelled crops of the source domain: views of the studio, with which the free start model was trained.
studio_views = dict(type='OpenViews', domain='studio', resolution=112, length=512, seed=2, cache=True)
